"""How do bytes, timers and transactions reach the pure session, and its decisions the network?"""

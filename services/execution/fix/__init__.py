"""How do we speak FIX with brokers, venues and clients, so that a death at any byte loses and doubles nothing?"""

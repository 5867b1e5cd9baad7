"""How do we trade at a broker that speaks FIX 4.4, and how does our sandbox speak it?"""

"""What was done, provably?"""

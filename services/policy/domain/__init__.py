"""Which rules apply to an account at an instant, and who may change them?"""

"""Is the log what it says, checked by somebody who trusts none of our code?"""

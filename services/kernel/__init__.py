"""Which words do two or more services share? Pure values and rules: no input, no output, no clock, no randomness."""

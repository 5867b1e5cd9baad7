"""Does the project still keep its own rules, those that no general tool knows?"""

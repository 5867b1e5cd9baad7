"""How do developers and operators work with Evenkeel: by which commands, on which local stack, under which checks?"""

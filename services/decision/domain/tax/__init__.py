"""How are gains taxed, where the account is taxed?"""

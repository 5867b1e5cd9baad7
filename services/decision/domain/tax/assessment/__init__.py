"""What is a taxpayer's history of trades worth to the tax office, exactly and by the rules of the year?"""

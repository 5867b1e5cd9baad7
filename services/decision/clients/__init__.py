"""How does decision ask others: policy, execution, and the processes that compute?"""

"""Who may do what, as a table of attempts for the contract tests: people, what they try, and what they are told.

Must not judge: tests/contract/test_rights_policies.py does, on a real API server.
"""

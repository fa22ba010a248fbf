"""Who may do what: rights, and verdicts over them. Pure; knows no noun's rules."""

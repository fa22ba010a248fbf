"""An attributed word that opens a gate, and can be taken back."""

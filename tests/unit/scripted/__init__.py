"""The scripted agent: what a script may say."""

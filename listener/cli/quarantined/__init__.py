"""`quarantine`: what was refused although its sender was authenticated."""

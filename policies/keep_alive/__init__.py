"""How long an idle instance stays, and what it becomes then."""

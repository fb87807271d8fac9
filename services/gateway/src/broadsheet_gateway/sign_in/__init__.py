"""How somebody who has shown who they are gets a session, and what is asked besides of who has a second factor."""

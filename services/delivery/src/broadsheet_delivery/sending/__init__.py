"""From a claimed chunk or mail to a recorded result: compose, commit, call, write down."""

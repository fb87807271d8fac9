"""What only the command line does: let people in again when nobody inside can."""

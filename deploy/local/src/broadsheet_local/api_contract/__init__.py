"""The API's document as a contract: our rules for it, and what breaks clients of the released one."""

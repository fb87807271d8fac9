"""Server-sent events (WHATWG HTML, section 9.2): the messages, and the answer that carries them."""

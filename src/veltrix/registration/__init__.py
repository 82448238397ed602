"""Service 1: takes what people ask over HTTP, appends it to the log, and answers with what was decided."""

"""When each alert fires and when it is silent, asked of promtool."""

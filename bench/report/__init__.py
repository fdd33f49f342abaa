"""From single runs to published figures."""

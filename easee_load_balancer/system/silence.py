"""How both ends of a connection to PostgreSQL notice that the other one is silent.

Without this, a network that is cut in the middle of a statement leaves the client waiting for up to
15 minutes, also when the network is back, and the server with an open transaction for two hours.
"""

from __future__ import annotations

CLIENT_SIDE = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 8000,
}
"""Parameters of libpq: what is not acknowledged within 8 s fails, a silent server after 25 s."""
SERVER_SIDE = {
    "tcp_keepalives_idle": 10,
    "tcp_keepalives_interval": 5,
    "tcp_keepalives_count": 3,
    "tcp_user_timeout": 15000,
}
"""Settings of the session: locks and transactions of a silent client end after 25 s."""

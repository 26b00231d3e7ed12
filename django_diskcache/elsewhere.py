"""Options of other backends for servers, and where what they say stands here."""

from __future__ import annotations

CLIENT = "The cache has a client of its own, which needs no such option. Leave it out."
IN_LOCATION = (
    "It stands in LOCATION, as in valkeys://user:password@host:6379/0; s in the scheme is TLS, "
    "and other arguments of connections stand behind a ?, such as ?ssl_ca_certs=/etc/ca.pem."
)
# Of Django's RedisCache, of django-redis and django-valkey, in lower case.
REMEDIES = {
    **dict.fromkeys(("user", "username", "password", "host", "port", "db", "ssl"), IN_LOCATION),
    **dict.fromkeys(("client_name", "health_check_interval", "unix_socket_path"), IN_LOCATION),
    **dict.fromkeys(("client_class", "parser_class", "pool_class", "protocol"), CLIENT),
    **dict.fromkeys(("connection_pool_class", "connection_pool_class_kwargs"), CLIENT),
    **dict.fromkeys(("connection_factory", "max_connections", "decode_responses"), CLIENT),
    **dict.fromkeys(("redis_client_class", "valkey_client_class"), CLIENT),
    **dict.fromkeys(
        ("connection_pool_kwargs", "redis_client_kwargs", "valkey_client_kwargs"),
        f"What it says of connections stands in LOCATION. {IN_LOCATION}",
    ),
    **dict.fromkeys(
        ("sentinels", "sentinel_kwargs"),
        "It stands in LOCATION: sentinel://host:26379,host:26379/service/0.",
    ),
    **dict.fromkeys(
        ("socket_timeout", "socket_connect_timeout"),
        "How long a call waits for the server is database_timeout, in seconds.",
    ),
    **dict.fromkeys(
        ("ignore_exceptions", "log_ignored_exceptions"),
        "A server in trouble is a miss here, and logged. To raise it instead, set strict.",
    ),
    "compressor": "It takes compression: 'zlib', 'lz4' or 'zstd'.",
}


def remedy(name: str) -> str:
    """What to do about an option that ours is none of, in sentences; '' where it is unknown.

    :param name: in lower case
    """
    return IN_LOCATION if name.startswith("ssl_") else REMEDIES.get(name, "")

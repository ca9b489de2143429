"""``python -m bluegreen_app``: read the environment, serve, drain, exit."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from . import logs
from .server import serve
from .settings import Settings

EXIT_SETTINGS = 2
EXIT_SERVER = 1


def main() -> int:
    """Run the service until it has drained.

    Returns:
        The process' exit code: 0 drained, 1 a port can't be had, 2 a wrong setting.

    """
    try:
        settings = Settings.from_env(os.environ)
    except ValueError as error:
        logs.configure({})
        logging.getLogger(__name__).error("settings", extra={"fields": {"error": str(error)}})
        return EXIT_SETTINGS
    logs.configure(settings.identity)
    try:
        asyncio.run(serve(settings))
    except OSError as error:
        logging.getLogger(__name__).error("server", extra={"fields": {"error": str(error)}})
        return EXIT_SERVER
    return 0


if __name__ == "__main__":
    sys.exit(main())

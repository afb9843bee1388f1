"""python-hl7's asyncio MLLP server as its documentation shows it: it keeps nothing and answers `create_ack`."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from hl7.mllp import start_hl7_server


async def answer(reader: Any, writer: Any) -> None:
    """Answer the messages of one connection."""
    try:
        while not writer.is_closing():
            message = await reader.readmessage()
            writer.writemessage(message.create_ack())
            await writer.drain()
    except asyncio.IncompleteReadError:
        writer.close()
        await writer.wait_closed()


async def main(port: int) -> None:
    """Serve until killed."""
    async with await start_hl7_server(answer, host="127.0.0.1", port=port, encoding="utf-8", limit=1 << 20) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))

"""A way to a gRPC server on which some calls are refused."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc

THREADS = 16


class Refusing(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """Passes calls on as they are, but those that `refuses` names by path and content."""

    def __init__(self, channel: Any) -> None:
        self.refuses: Callable[[str, bytes], bool] = lambda *_: False
        self.refused = 0
        self._channel = channel

    def service(self, details: Any) -> Any:
        """Return what handles a call; called by the server."""
        forward = self._channel.unary_unary(details.method)

        def handle(request: bytes, context: Any) -> Any:
            if self.refuses(details.method, request):
                self.refused += 1
                context.abort(grpc.StatusCode.UNKNOWN, "refused by the test")
            try:
                return forward(request, timeout=context.time_remaining(), metadata=context.invocation_metadata())
            except grpc.RpcError as error:
                context.abort(error.code(), error.details())

        return grpc.unary_unary_rpc_method_handler(handle)


@contextmanager
def refusing_way(address: str) -> Iterator[tuple[str, Refusing]]:
    """Serve on a free port of 127.0.0.1 what an address serves; returns the new address, and what refuses."""
    with grpc.insecure_channel(address) as channel:
        refusing = Refusing(channel)
        server = grpc.server(ThreadPoolExecutor(THREADS), handlers=[refusing])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}", refusing
        finally:
            server.stop(0).wait()

"""QuickFIX to QuickFIX: an initiator and an acceptor in one process, each order answered with three reports.

python -m tests.bench.quickfix_pair FOLDER ORDERS     prints orders a second
"""

import os
import sys
import threading
import time
from pathlib import Path

import quickfix as fix

from tools.local.broker import free_port
from tools.local.quickfix_broker import DICTIONARY


def _message(kind, *pairs):
    message = fix.Message()
    message.getHeader().setField(fix.BeginString("FIX.4.4"))
    message.getHeader().setField(fix.MsgType(kind))
    for tag, value in pairs:
        message.setField(fix.StringField(tag, value))
    return message


class Side(fix.Application):
    """Both sides: the acceptor answers orders, the initiator counts reports."""

    def __init__(self, wanted):
        super().__init__()
        self.wanted = wanted
        self.seen = 0
        self.session = None
        self.up = threading.Event()
        self.done = threading.Event()

    def onCreate(self, session):
        self.session = session

    def onLogon(self, _):
        self.up.set()

    def onLogout(self, _):
        pass

    def toAdmin(self, *_):
        pass

    def fromAdmin(self, *_):
        pass

    def toApp(self, *_):
        pass

    def fromApp(self, message, session):
        kind = fix.MsgType()
        message.getHeader().getField(kind)
        if kind.getValue() == "8":
            self.seen += 1
            if self.seen == self.wanted:
                self.done.set()
            return
        name = message.getField(11)
        common = ((37, name), (11, name), (55, "VTI"), (54, "1"), (38, "10"), (60, "20261130-15:04:05.678"))
        for number, more in enumerate(
            (
                ((150, "0"), (39, "0"), (151, "10"), (14, "0"), (6, "0")),
                ((150, "F"), (39, "1"), (32, "4"), (31, "100.25"), (151, "6"), (14, "4"), (6, "100.25")),
                ((150, "F"), (39, "2"), (32, "6"), (31, "100.3"), (151, "0"), (14, "10"), (6, "100.28")),
            )
        ):
            fix.Session.sendToTarget(_message("8", *common, (17, f"{name}:{number}"), *more), session)


def main():
    folder, orders = Path(sys.argv[1]), int(sys.argv[2])
    port = free_port()
    text = f"""[DEFAULT]
StartTime=00:00:00
EndTime=00:00:00
HeartBtInt=30
BeginString=FIX.4.4
SocketNodelay=Y
DataDictionary={DICTIONARY}
"""
    connect = f"SocketConnectHost=127.0.0.1\nSocketConnectPort={port}\nReconnectInterval=1"
    sides = []
    for kind, us, them, more in (
        ("acceptor", "BROKER", "CLIENT", f"SocketAcceptPort={port}"),
        ("initiator", "CLIENT", "BROKER", connect),
    ):
        file = folder / f"{kind}.cfg"
        file.write_text(
            f"{text}ConnectionType={kind}\nFileStorePath={folder / kind}\n{more}\n[SESSION]\n"
            f"SenderCompID={us}\nTargetCompID={them}\n"
        )
        side = Side(3 * orders)
        settings = fix.SessionSettings(str(file))
        made = {"acceptor": fix.SocketAcceptor, "initiator": fix.SocketInitiator}[kind]
        engine = made(side, fix.FileStoreFactory(settings), settings)
        engine.start()
        sides.append((side, engine))
    client = sides[1][0]
    client.up.wait(30)
    began = time.perf_counter()
    for number in range(orders):
        order = _message(
            "D",
            *((11, f"order-{number:08}"), (21, "1"), (55, "VTI"), (54, "1"), (60, "20261130-15:04:05.678")),
            *((38, "10"), (40, "1"), (15, "USD"), (59, "0")),
        )
        fix.Session.sendToTarget(order, client.session)
    client.done.wait(120)
    sys.stdout.write(f"{orders / (time.perf_counter() - began)}\n")
    sys.stdout.flush()
    # Its threads do not always end.
    os._exit(0)


if __name__ == "__main__":
    main()

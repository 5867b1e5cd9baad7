"""A client by QuickFIX, told what to send by lines of JSON: `python -m tests.execution.venues.quickfix_client`."""

import json
import sys
from pathlib import Path

import quickfix as fix

from tools.local.quickfix_broker import DICTIONARY


class Client(fix.Application):
    """Keeps what comes."""

    def __init__(self):
        super().__init__()
        self.session, self.seen = None, []

    def onCreate(self, session):
        self.session = session

    def onLogon(self, _):
        pass

    def onLogout(self, _):
        pass

    def toAdmin(self, *_):
        pass

    def fromAdmin(self, *_):
        pass

    def toApp(self, *_):
        pass

    def fromApp(self, message, _):
        self.seen.append(message.toString())

    def run(self, asked):
        if asked["do"] == "send":
            message = fix.Message()
            message.getHeader().setField(fix.BeginString("FIX.4.4"))
            message.getHeader().setField(fix.MsgType(asked["kind"]))
            for tag, value in asked["fields"].items():
                message.setField(fix.StringField(int(tag), value))
            fix.Session.sendToTarget(message, self.session)
        up = fix.Session.lookupSession(self.session).isLoggedOn()
        return {"up": up, "seen": self.seen}


def main():
    port, folder, tls = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None
    file = folder / "client.cfg"
    secured = (
        f"ClientCertificateFile={tls / 'EVENKEEL.pem'}\nClientCertificateKeyFile={tls / 'EVENKEEL.key'}\n"
        f"CertificationAuthoritiesFile={tls / 'ca.pem'}\nCertificateVerifyLevel=2\nSSLProtocol=+TLSv1_2\n"
        if tls is not None
        else ""
    )
    file.write_text(
        f"[DEFAULT]\nConnectionType=initiator\nStartTime=00:00:00\nEndTime=00:00:00\nHeartBtInt=30\n"
        f"ReconnectInterval=1\nSocketConnectHost=127.0.0.1\nSocketConnectPort={port}\n"
        f"FileStorePath={folder / 'store'}\nDataDictionary={DICTIONARY}\n{secured}"
        "[SESSION]\nBeginString=FIX.4.4\nSenderCompID=EVENKEEL\nTargetCompID=BROKER\n"
    )
    client, settings = Client(), fix.SessionSettings(str(file))
    kind = fix.SocketInitiator if tls is None else fix.SSLSocketInitiator
    initiator = kind(client, fix.FileStoreFactory(settings), settings)
    initiator.start()
    sys.stdout.write('{"up": true}\n')
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(client.run(json.loads(line))) + "\n")
        sys.stdout.flush()
    initiator.stop(True)


if __name__ == "__main__":
    main()

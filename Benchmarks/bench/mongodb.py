"""The database of this run: MongoDB's protocol on WiredTiger."""

from pymongo import MongoClient
from pymongo.collection import Collection

from bench.workspace import Command, Workspace, start_server


class MongoDB:
    def __init__(self, workspace: Workspace) -> None:
        """Starts it and waits until it accepts clients."""
        script = workspace.servers / "mongodb" / "mongodb"
        folder = workspace.folder / "mongodb"
        workspace.at_end([script, "wipe", "--dir", folder])
        command: Command = [script, "start", "--dir", folder, "--port", str(workspace.free_ports())]
        self.uri = start_server(workspace, "MongoDB", command)
        self._client: MongoClient = MongoClient(self.uri)

    def inserted(self) -> int:
        """Documents inserted into any collection since it started: a counter of the server, which costs nothing."""
        return self._client.admin.command("serverStatus")["metrics"]["document"]["inserted"]

    def count(self, database: str) -> int:
        """Of `readings`; costs time that grows with the collection."""
        return self._client[database].readings.estimated_document_count()

    def distinct(self, database: str) -> int:
        """How many places on the topic the documents of `readings` come from; reads all of them."""
        origins = (document["k"] for document in self._client[database].readings.find({}, {"_id": 0, "k": 1}))
        return len({(origin["p"] << 48) + origin["o"] for origin in origins})

    def collection(self, database: str, name: str) -> Collection:
        return self._client[database][name]

    def drop(self, database: str) -> None:
        self._client.drop_database(database)

"""The database of this run: MongoDB's protocol on WiredTiger."""

from pymongo import MongoClient

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

    def rough_count(self, database: str) -> int:
        """Of `readings`, from the server's own count: cheap, though its cost grows with the collection."""
        return self._client[database].readings.estimated_document_count()

    def count(self, database: str) -> int:
        """Of `readings`, document by document: slow."""
        return self._client[database].readings.count_documents({})

    def drop(self, database: str) -> None:
        self._client.drop_database(database)

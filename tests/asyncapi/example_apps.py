"""The apps in examples/, and the files with their descriptions.

``python -m tests.asyncapi.example_apps`` writes the files anew. Read the difference before you commit it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from wampasgi import Application
from wampasgi.cli.app_loading import load_application

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).with_name("examples")

EXAMPLES = {
    "chat": "examples.chat.app",
    "cookie_session": "examples.cookie_session:wamp",
    "database_users": "examples.database_users",
    "fastapi_app": "examples.fastapi_app",
    "fleet": "examples.fleet.app",
    "jwt_ticket": "examples.jwt_ticket",
    "lifespan_and_dependencies": "examples.lifespan_and_dependencies",
    "message_log": "examples.message_log",
    "own_serializer": "examples.own_serializer",
    "progress": "examples.progress",
    "prometheus_metrics": "examples.prometheus_metrics",
    "scaling": "examples.scaling.app",
    "team_board": "examples.team_board.app",
    "two_realms": "examples.two_realms",
}


def application(name: str) -> Application:
    return load_application(EXAMPLES[name], ROOT).application


def descriptions(app: Application) -> dict[str, Any]:
    """Return the descriptions of all realms of an app, by realm URI."""
    return {name: realm.describe().to_dict() for name, realm in sorted(app.all_realms.items())}


def as_text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def files(name: str) -> dict[Path, str]:
    """Return the files of one example with the text that they should have."""
    app = application(name)
    return {
        FOLDER / f"{name}.description.json": as_text(descriptions(app)),
        FOLDER / f"{name}.asyncapi.json": as_text(app.asyncapi()),
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for example in EXAMPLES:
        for path, text in files(example).items():
            path.write_text(text, encoding="utf-8")

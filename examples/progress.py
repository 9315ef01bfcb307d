"""Report the progress of a procedure, which can fail halfway."""

from __future__ import annotations

from collections.abc import AsyncIterator

from pydantic import BaseModel

from wampasgi import Application, RPCErrorResult, RPCProgressReport, RPCResult

app = Application()


class Contact(BaseModel):
    name: str
    email: str


@app.procedure("contacts.import")
async def import_contacts(
    contacts: list[Contact],
) -> AsyncIterator[RPCProgressReport | RPCErrorResult | RPCResult]:
    emails: set[str] = set()
    for done, contact in enumerate(contacts, 1):
        if contact.email in emails:
            # Any value except a progress report is final: the generator is closed here.
            yield RPCErrorResult("com.example.duplicate", [contact.email], {"imported": len(emails)})
        emails.add(contact.email)
        yield RPCProgressReport([done, len(contacts)])
    yield RPCResult(kwargs={"imported": len(emails)})

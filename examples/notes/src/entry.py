from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        db, visits = self.env.DB, self.env.VISITS
        if request.method == "POST":
            text = await request.text()
            note = await db.prepare("INSERT INTO notes (text) VALUES (?) RETURNING id, text").bind(text).first()
            return Response.json(note, status=201)
        count = int(await visits.get("count") or 0) + 1
        await visits.put("count", str(count))
        notes = await db.prepare("SELECT id, text FROM notes ORDER BY id").all()
        return Response.json({"visits": count, "notes": notes.results})

-- Newest form of the ledger. Events are appended and never changed; totals are derived from them.

CREATE TABLE guest (
  id TEXT PRIMARY KEY,
  definition TEXT NOT NULL,           -- JSON as given to PUT /v1/guests/{id}
  role TEXT NOT NULL CHECK (role IN ('source', 'incoming')),
  registered_at TEXT NOT NULL
) STRICT;

-- Who may run a guest. The highest epoch of a guest decides; rows are only added.
CREATE TABLE ownership (
  guest_id TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  owner TEXT NOT NULL,                -- site name; '' records a refused hand-over of that epoch
  migration_id TEXT,
  decided_by TEXT NOT NULL,           -- 'handover', 'registration', 'refusal' or an operator
  reason TEXT NOT NULL,
  decided_at TEXT NOT NULL,
  PRIMARY KEY (guest_id, epoch, owner)
) STRICT;

CREATE TABLE migration (
  id TEXT PRIMARY KEY,
  guest_id TEXT NOT NULL,
  side TEXT NOT NULL CHECK (side IN ('source', 'destination')),
  peer TEXT NOT NULL,
  options TEXT NOT NULL,              -- JSON
  created_at TEXT NOT NULL
) STRICT;
CREATE INDEX migration_by_guest ON migration (guest_id);

CREATE TABLE migration_event (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  migration_id TEXT NOT NULL REFERENCES migration (id),
  at TEXT NOT NULL,
  kind TEXT NOT NULL,
  body TEXT NOT NULL                  -- JSON of the event without its kind
) STRICT;
CREATE INDEX migration_event_by_migration ON migration_event (migration_id, number);

-- Last report of a migration as the API gives it; written at its end and now and then before.
CREATE TABLE migration_report (
  migration_id TEXT PRIMARY KEY REFERENCES migration (id),
  body TEXT NOT NULL
) STRICT;

CREATE TABLE audit (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  at TEXT NOT NULL,
  kind TEXT NOT NULL,
  body TEXT NOT NULL
) STRICT;

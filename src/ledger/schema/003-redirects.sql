-- What this site did so that machines' addresses follow them, one redirect for each move and side.
-- Events are appended and never changed; the state is a fold over them.

CREATE TABLE redirect (
  migration_id TEXT NOT NULL,
  side TEXT NOT NULL CHECK (side IN ('old', 'new')),
  guest_id TEXT NOT NULL,
  subject TEXT NOT NULL,              -- JSON: peer, addresses and means as they were when it began
  PRIMARY KEY (migration_id, side)
) STRICT;

CREATE TABLE redirect_event (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  migration_id TEXT NOT NULL,
  side TEXT NOT NULL,
  at TEXT NOT NULL,
  kind TEXT NOT NULL,
  body TEXT NOT NULL,                 -- JSON of the event without its kind
  FOREIGN KEY (migration_id, side) REFERENCES redirect (migration_id, side)
) STRICT;
CREATE INDEX redirect_event_by_redirect
  ON redirect_event (migration_id, side, number);

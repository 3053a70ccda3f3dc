package store

// schema has the steps from each version of the database to the next, oldest first: the
// first n have been applied to a database of version n (PRAGMA user_version).
var schema = []string{`
CREATE TABLE users (
	id       INTEGER PRIMARY KEY AUTOINCREMENT,
	login    TEXT NOT NULL,
	token    BLOB NOT NULL,              -- proto.Token: the password itself is nowhere
	revision INTEGER NOT NULL DEFAULT 1, -- grows with every password and with the removal
	created  INTEGER NOT NULL,           -- dates are microseconds since 1970
	removed  INTEGER                     -- a removed user stays, so that their messages can still be delivered
);
CREATE UNIQUE INDEX users_login ON users (login) WHERE removed IS NULL;

CREATE TABLE sessions (
	sid      BLOB PRIMARY KEY, -- SHA-256 of the SID
	user     INTEGER NOT NULL REFERENCES users,
	revision INTEGER NOT NULL, -- of the user, when the session was made
	ended    INTEGER           -- when the last connection went away; NULL while there is one
) WITHOUT ROWID;
CREATE INDEX sessions_user ON sessions (user);

-- The newest message is never deleted (see Store.Prune), so that SQLite never gives an id
-- twice. Users are not either: a foreign key would only cost every message two look-ups.
CREATE TABLE messages (
	id        INTEGER PRIMARY KEY,
	date      INTEGER NOT NULL,
	sender    INTEGER NOT NULL,
	recipient INTEGER NOT NULL,
	body      TEXT NOT NULL,
	nonce     TEXT             -- while it is remembered
);
-- Every index ends with the id, so that each of these is a range in order of id:
-- a dialog, what a user sent, what a user received.
CREATE INDEX messages_dialog    ON messages (sender, recipient);
CREATE INDEX messages_sender    ON messages (sender);
CREATE INDEX messages_recipient ON messages (recipient);
CREATE UNIQUE INDEX messages_nonce ON messages (sender, nonce) WHERE nonce IS NOT NULL;

CREATE TABLE contacts (
	user    INTEGER NOT NULL REFERENCES users,
	contact INTEGER NOT NULL REFERENCES users,
	PRIMARY KEY (user, contact)
) WITHOUT ROWID;

CREATE TABLE server (
	alive     INTEGER NOT NULL, -- one row: when the server last said that it runs
	nonceless INTEGER NOT NULL  -- up to which message id the nonces have been forgotten
);
INSERT INTO server VALUES (0, 0);
`, `
CREATE TABLE invites (
	id      INTEGER PRIMARY KEY AUTOINCREMENT,
	code    BLOB NOT NULL UNIQUE, -- SHA-256 of the code
	created INTEGER NOT NULL,
	expires INTEGER NOT NULL,
	user    INTEGER REFERENCES users -- that was made with it
);
`, `
-- A conference is a row of users, without a password: so no name is that of both, and the
-- recipient of a message is a number of users in either case.
ALTER TABLE users ADD COLUMN conference INTEGER NOT NULL DEFAULT 0;

CREATE TABLE members (
	conference INTEGER NOT NULL REFERENCES users,
	user       INTEGER NOT NULL REFERENCES users,
	PRIMARY KEY (conference, user)
) WITHOUT ROWID;
CREATE INDEX members_user ON members (user);
`, `
ALTER TABLE server ADD COLUMN registration TEXT NOT NULL DEFAULT ''; -- of the server that started last
`, `
ALTER TABLE users ADD COLUMN disabled INTEGER;   -- since when the account can't log in; NULL if it can
ALTER TABLE users ADD COLUMN last_login INTEGER; -- NULL for none
`, `
ALTER TABLE messages ADD COLUMN fields BLOB; -- proto.Fields; NULL for none
`}

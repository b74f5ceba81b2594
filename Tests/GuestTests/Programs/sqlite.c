// A SQLite database in memory's files: WAL with its shared index, transactions of two connections,
// queries, and the database read again. What is printed does not depend on the machine.
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void fail(sqlite3 *db, const char *what) {
  printf("%s: %s\n", what, sqlite3_errmsg(db));
  exit(1);
}

static int print(void *unused, int count, char **values, char **names) {
  for (int i = 0; i < count; i++) printf("%s%s", i ? " | " : "", values[i] ? values[i] : "NULL");
  printf("\n");
  return 0;
}

static void run(sqlite3 *db, const char *statement) {
  if (sqlite3_exec(db, statement, print, 0, 0) != SQLITE_OK) fail(db, statement);
}

static sqlite3 *open_database(const char *name) {
  sqlite3 *db;
  if (sqlite3_open(name, &db) != SQLITE_OK) fail(db, "open");
  run(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA mmap_size = 1048576");
  return db;
}

static long size_of(const char *name) {
  struct stat status;
  return stat(name, &status) == 0 ? (long)status.st_size : -1;
}

int main(void) {
  const char *name = "/tmp/swiftlet.db";
  const char *files[] = {name, "/tmp/swiftlet.db-wal", "/tmp/swiftlet.db-shm"};
  setvbuf(stdout, 0, _IOLBF, 0);
  for (int i = 0; i < 3; i++) unlink(files[i]);
  sqlite3 *db = open_database(name), *reader = open_database(name);
  run(db, "CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, value REAL, data BLOB)");
  run(db, "CREATE INDEX by_name ON item(name)");
  run(db, "BEGIN");
  sqlite3_stmt *insert;
  sqlite3_prepare_v2(db, "INSERT INTO item(name, value, data) VALUES(?, ?, ?)", -1, &insert, 0);
  for (int i = 0; i < 5000; i++) {
    char text[32];
    snprintf(text, sizeof text, "name %d", i * 7919 % 5000);
    sqlite3_bind_text(insert, 1, text, -1, SQLITE_TRANSIENT);
    sqlite3_bind_double(insert, 2, i / 8.0);
    sqlite3_bind_zeroblob(insert, 3, i % 200);
    if (sqlite3_step(insert) != SQLITE_DONE) fail(db, "insert");
    sqlite3_reset(insert);
  }
  // The other connection sees the state before.
  run(reader, "SELECT count(*) FROM item");
  run(db, "COMMIT");
  run(reader, "SELECT count(*), sum(value), min(name), max(name) FROM item");
  run(reader, "BEGIN; SELECT count(*) FROM item WHERE name LIKE 'name 1%'");
  run(db, "DELETE FROM item WHERE id % 3 = 0");
  run(reader, "SELECT count(*) FROM item; COMMIT");
  run(reader, "SELECT count(*) FROM item");
  printf("%d\n", sqlite3_exec(reader, "INSERT INTO item(id) VALUES(1)", 0, 0, 0));
  run(db, "BEGIN IMMEDIATE");
  printf("busy: %d\n", sqlite3_exec(reader, "INSERT INTO item(id) VALUES(90000)", 0, 0, 0));
  run(db, "UPDATE item SET value = value * 2 WHERE id < 100; ROLLBACK");
  run(reader, "SELECT id, name, value, length(data) FROM item ORDER BY value DESC LIMIT 5");
  printf("log %d, index %ld\n", size_of(files[1]) > 0, size_of(files[2]));
  run(db, "PRAGMA wal_checkpoint(TRUNCATE)");
  printf("log %ld, database %ld\n", size_of(files[1]), size_of(name));
  run(db, "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 10) "
          "SELECT group_concat(x * x, ',') FROM n");
  run(db, "SELECT substr(name, 1, 6) AS start, count(*), total(length(data)) FROM item "
          "GROUP BY start ORDER BY 2 DESC, 1 LIMIT 3");
  sqlite3_finalize(insert);
  sqlite3_close(reader);
  run(db, "VACUUM; PRAGMA integrity_check");
  sqlite3_close(db);
  printf("after the last: %ld %ld\n", size_of(files[1]), size_of(files[2]));
  db = open_database(name);
  run(db, "SELECT count(*), sum(id), sum(length(data)) FROM item");
  sqlite3_close(db);
  for (int i = 0; i < 3; i++) unlink(files[i]);
  return 0;
}

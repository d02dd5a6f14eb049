//! The statements about accounts themselves, each a constant; what varies comes through `sql::SET_NAMES`.

/// Makes a role that may log in. Without a password none lets it in; the host's own identity or a certificate may.
pub(super) const CREATE: &str = "do $do$ begin
  execute format('CREATE ROLE %I LOGIN', current_setting('leasehold.member'));
end $do$";

/// Stops log-ins. A role without `VALID UNTIL` gets one, so that it is still known to have been an account: the one
/// instant that nobody else writes, by which [`ENABLE`] knows that it may go again.
pub(super) const DISABLE: &str = "do $do$ declare member text := current_setting('leasehold.member'); begin
  execute format('ALTER ROLE %I NOLOGIN', member);
  if exists (select from pg_roles where rolname = member and rolvaliduntil is null) then
    execute format('ALTER ROLE %I VALID UNTIL %L', member, '-infinity');
  end if;
end $do$";

/// Lets it log in again. Nothing takes `VALID UNTIL` away, but one that never comes is the same.
pub(super) const ENABLE: &str = "do $do$ declare member text := current_setting('leasehold.member'); begin
  execute format('ALTER ROLE %I LOGIN', member);
  if exists (select from pg_roles where rolname = member and rolvaliduntil = '-infinity') then
    execute format('ALTER ROLE %I VALID UNTIL %L', member, 'infinity');
  end if;
end $do$";

/// Sets a password by its verifier, which is no password: the word.
pub(super) const SET_PASSWORD: &str = "do $do$ begin
  execute format('ALTER ROLE %I PASSWORD %L', current_setting('leasehold.member'), current_setting('leasehold.word'));
end $do$";

/// Removes a role. The server refuses where it owns or holds anything, in any database.
pub(super) const DROP: &str = "do $do$ begin
  execute format('DROP ROLE %I', current_setting('leasehold.member'));
end $do$";

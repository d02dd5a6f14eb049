//! Every statement of this connector, whole and constant. Names travel as parameters into variables of the session, and the
//! server itself quotes them where it puts a statement of the language together.

/// Quoting by `QUOTE` relies on the backslash, and nothing may be cut or guessed.
pub(super) const PREPARE: &str = "set session sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_CREATE_USER'";
/// How long one statement may take, in seconds, and how long it may wait for a lock.
pub(super) const LIMIT: &str = "set session max_statement_time = ?, lock_wait_timeout = ?";
/// Version, and whom the server takes us for.
pub(super) const SERVER: &str = "select version(), current_user()";

/// Changes with every change of a grant; the tables know no transaction.
pub(super) const CHECKSUMS: &str = "checksum table mysql.global_priv, mysql.db, mysql.tables_priv, mysql.columns_priv, \
     mysql.procs_priv, mysql.proxies_priv, mysql.roles_mapping";

/// Accounts and roles.
pub(super) const GRANTEES: &str = "select User, Host, \
     coalesce(json_value(Priv, '$.is_role') in ('1', 'true'), 0), \
     coalesce(json_value(Priv, '$.account_locked') in ('1', 'true'), 0), \
     cast(json_value(Priv, '$.password_last_changed') as signed), \
     coalesce(json_value(Priv, '$.plugin'), ''), \
     coalesce(json_value(Priv, '$.authentication_string'), '') = '', \
     cast(coalesce(json_value(Priv, '$.access'), '0') as unsigned), \
     coalesce(json_value(Priv, '$.default_role'), ''), \
     cast(json_value(Priv, '$.password_lifetime') as signed), \
     coalesce(json_exists(Priv, '$.auth_or'), 0), \
     cast(@@global.default_password_lifetime as signed), unix_timestamp() \
     from mysql.global_priv";
/// Who holds which role; a role that holds one has no host.
pub(super) const ROLES: &str = "select User, Host, Role, Admin_option = 'Y' from mysql.roles_mapping";
/// Privileges on databases, a column for each.
pub(super) const DATABASES: &str = "select * from mysql.db";
/// Privileges on tables.
pub(super) const TABLES: &str =
    "select User, Host, Db, Table_name, cast(Table_priv as char) from mysql.tables_priv";
/// Privileges on columns.
pub(super) const COLUMNS: &str =
    "select User, Host, Db, Table_name, Column_name, cast(Column_priv as char) from mysql.columns_priv";
/// Privileges on routines.
pub(super) const ROUTINES: &str = "select User, Host, Db, Routine_name, cast(Routine_type as char), cast(Proc_priv as char) from mysql.procs_priv";
/// Who may act as whom.
pub(super) const PROXIES: &str = "select User, Host, Proxied_user, Proxied_host from mysql.proxies_priv";

/// Events. The server keeps their times in UTC, but for the first.
pub(super) const EVENTS: &str = "select db, name, definer, cast(status as char), cast(unix_timestamp(created) as signed), \
     timestampdiff(second, '1970-01-01', last_executed), timestampdiff(second, '1970-01-01', ends), \
     character_set_client from mysql.event order by db, name";

/// Live sessions of a user, without the one that asks.
pub(super) const SESSIONS: &str = "select ID, HOST, COMMAND, coalesce(DB, '') \
     from information_schema.PROCESSLIST where USER = ? and ID <> connection_id()";

/// What a statement is put together from: the words of the language that our own lists hold, and names.
pub(super) const NAMES: &str = "set @leasehold_words = ?, @leasehold_user = ?, @leasehold_host = ?, \
     @leasehold_first = ?, @leasehold_second = ?, @leasehold_third = ?";

macro_rules! immediately {
    ($($part:expr),+ $(,)?) => { concat!("execute immediate concat(", $($part,)+ ")") };
}
macro_rules! account {
    () => {
        "quote(@leasehold_user), '@', quote(@leasehold_host)"
    };
}
macro_rules! identifier {
    ($name:literal) => {
        concat!("'`', replace(@leasehold_", $name, ", '`', '``'), '`'")
    };
}

pub(super) const GRANT_ROLE: &str = immediately!("'grant ', quote(@leasehold_first), ' to ', ", account!());
pub(super) const REVOKE_ROLE: &str =
    immediately!("'revoke ', quote(@leasehold_first), ' from ', ", account!());
pub(super) const GRANT_PROXY: &str = immediately!(
    "'grant proxy on ', quote(@leasehold_first), '@', quote(@leasehold_second), ' to ', ",
    account!()
);
pub(super) const REVOKE_PROXY: &str = immediately!(
    "'revoke proxy on ', quote(@leasehold_first), '@', quote(@leasehold_second), ' from ', ",
    account!()
);
pub(super) const GRANT_SERVER: &str = immediately!("'grant ', @leasehold_words, ' on *.* to ', ", account!());
pub(super) const REVOKE_SERVER: &str =
    immediately!("'revoke ', @leasehold_words, ' on *.* from ', ", account!());
pub(super) const GRANT_DATABASE: &str =
    immediately!("'grant ', @leasehold_words, ' on ', ", identifier!("first"), ", '.* to ', ", account!());
pub(super) const REVOKE_DATABASE: &str =
    immediately!("'revoke ', @leasehold_words, ' on ', ", identifier!("first"), ", '.* from ', ", account!());
/// Of tables and routines: the words hold the sort of a routine, too.
pub(super) const GRANT_OBJECT: &str = immediately!(
    "'grant ', @leasehold_words, ' ', ",
    identifier!("first"),
    ", '.', ",
    identifier!("second"),
    ", ' to ', ",
    account!()
);
pub(super) const REVOKE_OBJECT: &str = immediately!(
    "'revoke ', @leasehold_words, ' ', ",
    identifier!("first"),
    ", '.', ",
    identifier!("second"),
    ", ' from ', ",
    account!()
);
pub(super) const GRANT_COLUMN: &str = immediately!(
    "'grant ', @leasehold_words, ' (', ",
    identifier!("third"),
    ", ') on ', ",
    identifier!("first"),
    ", '.', ",
    identifier!("second"),
    ", ' to ', ",
    account!()
);
pub(super) const REVOKE_COLUMN: &str = immediately!(
    "'revoke ', @leasehold_words, ' (', ",
    identifier!("third"),
    ", ') on ', ",
    identifier!("first"),
    ", '.', ",
    identifier!("second"),
    ", ' from ', ",
    account!()
);
/// A password of which no text is the hash: nobody logs in until one is set. The server knows the word.
pub(super) const CREATE: &str = immediately!(
    "'create user ', ",
    account!(),
    ", ' identified via mysql_native_password using ''invalid'''"
);
/// Whether a plugin looks at every password that is set, and what cannot be looked at is refused. The server's own word for
/// that refusal is "ALTER USER failed".
pub(super) const CHECKS_PASSWORDS: &str = "select @@strict_password_validation and exists (select 1 from information_schema.PLUGINS \
     where PLUGIN_TYPE = 'PASSWORD VALIDATION' and PLUGIN_STATUS = 'ACTIVE')";
/// Sets a password by its hash: the words.
pub(super) const SET_PASSWORD: &str =
    immediately!("'alter user ', ", account!(), ", ' identified by password ', quote(@leasehold_words)");
pub(super) const LOCK: &str = immediately!("'alter user ', ", account!(), ", ' account lock'");
pub(super) const UNLOCK: &str = immediately!("'alter user ', ", account!(), ", ' account unlock'");
pub(super) const DROP: &str = immediately!("'drop user ', ", account!());
/// Alters an event by its database and name, under the definer that it has and in the character sets that it was written in: the
/// server would give it those of the session, and read its text anew with them. [`OWN_CHARACTER_SETS`] has to follow. The statement
/// is put together before, in the character set of names: whoever wrote the event chose the others, and there a letter may swallow
/// a backtick, or a backtick be a question mark. The third name is the character set, as it was looked at.
macro_rules! alter_event {
    ($what:literal) => {
        concat!(
            "set @leasehold_statement = concat('alter definer = ', ",
            account!(),
            ", ' event ', ",
            identifier!("first"),
            ", '.', ",
            identifier!("second"),
            concat!(", '", $what, "'); "),
            "set @leasehold_client = @@character_set_client, @leasehold_collation = @@collation_connection; \
             set character_set_client = @leasehold_third, \
             collation_connection = (select collation_connection from mysql.event \
             where db = @leasehold_first and name = @leasehold_second); \
             execute immediate @leasehold_statement"
        )
    };
}
pub(super) const DISABLE_EVENT: &str = alter_event!(" disable");
pub(super) const ENABLE_EVENT: &str = alter_event!(" enable");
pub(super) const OWN_CHARACTER_SETS: &str =
    "set character_set_client = @leasehold_client, collation_connection = @leasehold_collation";
pub(super) const DROP_EVENT: &str =
    immediately!("'drop event if exists ', ", identifier!("first"), ", '.', ", identifier!("second"));
/// One session, by its number.
pub(super) const KILL: &str =
    "execute immediate concat('kill connection ', cast(@leasehold_words as unsigned))";

//! The statements. Every one is a constant; what varies travels as a bound parameter or through `set_config`. The parts
//! that several share are macros of `sql_parts.rs`.

/// Opens a snapshot: everything that follows sees one state.
pub(super) const BEGIN_SNAPSHOT: &str =
    "begin isolation level repeatable read read only; set local statement_timeout = 0";

/// The snapshot's own name, the version, and how many roles there are, counted apart from listing them.
pub(super) const SNAPSHOT: &str = "select txid_current_snapshot()::text, current_setting('server_version'), \
     (select count(*) from pg_catalog.pg_roles)";

/// The cursor that every listing is read through, so that no listing is ever held as a whole.
pub(super) const FETCH: &str = "fetch forward 2000 from leasehold_rows";
/// Ends a listing.
pub(super) const CLOSE: &str = "close leasehold_rows";

/// Every role. A password is known to be there only to those who may read `pg_authid`.
pub(super) const ROLES: &str = "declare leasehold_rows no scroll cursor for
 select r.oid, r.rolname::text, r.rolcanlogin, r.rolsuper, r.rolbypassrls, r.rolcreaterole, r.rolcreatedb,
        r.rolreplication, r.rolinherit, r.rolconnlimit,
        case when isfinite(r.rolvaliduntil)
             then to_char(r.rolvaliduntil at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')
             when r.rolvaliduntil = '-infinity' then '-infinity' end,
        r.rolvaliduntil is not null,
        shobj_description(r.oid, 'pg_authid')
   from pg_roles r order by r.oid";

/// Roles that may not log in but have a password.
pub(super) const PASSWORDS: &str = "declare leasehold_rows no scroll cursor for
 select oid from pg_authid where rolpassword is not null and not rolcanlogin";

/// Whether [`PASSWORDS`] may be asked.
pub(super) const MAY_READ_PASSWORDS: &str =
    "select has_column_privilege('pg_catalog.pg_authid', 'rolpassword', 'select')";

/// Who has a session now, and when it was last active.
pub(super) const ACTIVITY: &str = "declare leasehold_rows no scroll cursor for
 select usesysid, (extract(epoch from max(coalesce(state_change, backend_start))) * 1000000)::bigint
   from pg_stat_activity where usesysid is not null group by usesysid";

/// Roles that have members, and how many.
pub(super) const MEMBER_COUNTS: &str = "declare leasehold_rows no scroll cursor for
 select roleid, count(*) from pg_auth_members group by roleid";

/// Memberships, with the options of version 16 where they are there.
pub(super) const MEMBERSHIPS: &str = "declare leasehold_rows no scroll cursor for
 select m.roleid, m.member, m.grantor, m.admin_option,
        coalesce((to_jsonb(m) ->> 'inherit_option')::bool, r.rolinherit),
        coalesce((to_jsonb(m) ->> 'set_option')::bool, true)
   from pg_auth_members m join pg_roles r on r.oid = m.member
  order by m.roleid, m.member, m.grantor";

/// Default privileges of this database.
pub(super) const DEFAULTS: &str = concat!(
    "declare leasehold_rows no scroll cursor for with ",
    defaults!(),
    " select phrase, schema, grantee, creator from defaults order by phrase, grantee, creator"
);

/// Who owns what.
pub(super) const OWNERS: &str = concat!(
    "declare leasehold_rows no scroll cursor for with ",
    objects!("false"),
    " select phrase, schema, owner, shared from objects where part is null and not system order by phrase"
);

/// Every privilege that somebody other than the owner holds. The last column says that PUBLIC holds it by PostgreSQL's
/// own default (its manual, 5.7): because the object, or the schema `public`, began with it. PUBLIC comes first. What it
/// may read of the information schema, of whose beginning nothing is kept, comes where somebody else holds it too.
pub(super) const PRIVILEGES: &str = concat!(
    "declare leasehold_rows no scroll cursor for with ",
    objects!("a.attacl is not null"),
    " select o.phrase, o.part, o.schema, o.shared, o.class, o.owner, not o.system, x.privilege_type, x.grantee,
             x.grantor, x.is_grantable,
             x.grantee = 0 and (o.phrase = 'schema public' and x.privilege_type = 'USAGE'
               or o.schema is not distinct from 'information_schema' and x.privilege_type in ('SELECT', 'USAGE')
               or exists (select from aclexplode(o.initial) d where d.grantee = 0 and d.privilege_type = x.privilege_type))
        from objects o cross join lateral aclexplode(o.acl) x
       where x.grantee <> o.owner
         and not (x.grantee = 0 and o.schema is not distinct from 'information_schema'
                  and x.privilege_type in ('SELECT', 'USAGE')
                  and not exists (select from aclexplode(o.acl) d where d.grantee not in (0, o.owner)))
       order by o.phrase, o.part nulls first, x.privilege_type, x.grantee, x.grantor"
);

/// A role: $1 its name.
pub(super) const ROLE: &str = "select rolcanlogin, \
     rolname = current_user or rolname = session_user, \
     coalesce(rolvaliduntil <> '-infinity' and rolvaliduntil < now(), false) from pg_catalog.pg_roles where rolname = $1";

/// A membership, directly and on any path: $1 the member, $2 the role.
pub(super) const READ_ROLE: &str =
    "select exists (select from pg_auth_members g where g.roleid = r.oid and g.member = m.oid),
            pg_has_role(m.oid, r.oid, 'MEMBER')
       from pg_roles m, pg_roles r where m.rolname = $1 and r.rolname = $2";

/// A role attribute, by the role itself or one that it can become: $1 the account, $2 the attribute, $3 how a role
/// is become (`SET` since version 16, `MEMBER` before).
pub(super) const READ_ATTRIBUTE: &str = "select
   coalesce((to_jsonb(m) ->> ('rol' || $2))::bool, false),
   exists (select from pg_roles v where pg_has_role(m.oid, v.oid, $3)
            and (v.rolsuper or coalesce((to_jsonb(v) ->> ('rol' || $2))::bool, false)))
   from pg_roles m where m.rolname = $1";

/// A privilege: $1 the account, $2 the object's phrase, $3 its column, $4 the privilege, $5 as in
/// [`READ_ATTRIBUTE`]. Whoever can become a role has what that role has.
pub(super) const READ_PRIVILEGE: &str = concat!(
    "with ",
    objects!("format('%I', a.attname) = $3"),
    " select exists (select from aclexplode(o.acl) x
                      where x.grantee = m.oid and x.grantee <> o.owner and x.privilege_type = $4),
      exists (select from pg_roles v where pg_has_role(m.oid, v.oid, $5) and case o.class
        when 'table' then has_table_privilege(v.oid, o.object, $4)
        when 'column' then has_column_privilege(v.oid, o.object, o.attribute, $4)
        when 'sequence' then has_sequence_privilege(v.oid, o.object, $4)
        when 'function' then has_function_privilege(v.oid, o.object, $4)
        when 'schema' then has_schema_privilege(v.oid, o.object, $4)
        when 'database' then has_database_privilege(v.oid, o.object, $4)
        when 'tablespace' then has_tablespace_privilege(v.oid, o.object, $4)
        when 'type' then has_type_privilege(v.oid, o.object, $4)
        when 'language' then has_language_privilege(v.oid, o.object, $4)
        when 'foreign data wrapper' then has_foreign_data_wrapper_privilege(v.oid, o.object, $4)
        when 'foreign server' then has_server_privilege(v.oid, o.object, $4) end)
     from objects o, pg_roles m
    where m.rolname = $1 and o.phrase = $2 and o.part is not distinct from $3::text
      and ($3::text is not null or o.class <> 'column')"
);

/// Ownership: $1 the account, $2 the object's phrase, $3 as in [`READ_ATTRIBUTE`].
pub(super) const READ_OWNER: &str = concat!(
    "with ",
    objects!("false"),
    " select o.owner = m.oid, pg_has_role(m.oid, o.owner, $3)
     from objects o, pg_roles m where m.rolname = $1 and o.phrase = $2 and o.class <> 'column'"
);

/// A default privilege: $1 the account, $2 its phrase, $3 as in [`READ_ATTRIBUTE`].
pub(super) const READ_DEFAULT: &str = concat!(
    "with ",
    defaults!(),
    " select exists (select from defaults d where d.phrase = $2 and d.grantee = m.oid),
             exists (select from defaults d where d.phrase = $2
                        and (d.grantee = 0 or pg_has_role(m.oid, d.grantee, $3)))
     from pg_roles m where m.rolname = $1"
);

/// Live sessions of $1, but not the one that asks.
pub(super) const SESSIONS: &str = "select pid, (extract(epoch from backend_start) * 1000000)::bigint,
   concat_ws(', ', coalesce(datname::text, backend_type), nullif(application_name, ''), host(client_addr), state)
   from pg_stat_activity where usename = $1 and pid <> pg_backend_pid() order by pid";

/// Live sessions of roles that were dropped: whose they are is not known any more.
pub(super) const SESSIONS_OF_DROPPED: &str =
    "select pid from pg_stat_activity where usesysid is not null and usename is null order by pid";

/// Asks the sessions of $1 to end.
pub(super) const TERMINATE: &str = "select count(*) filter (where pg_terminate_backend(pid)) from pg_stat_activity \
     where usename = $1 and pid <> pg_backend_pid()";

/// Hands names to the `DO` blocks for this transaction only: $1 role or phrase, $2 member, $3 part, $4 privilege or
/// attribute. Values that are not needed are empty.
pub(super) const SET_NAMES: &str = "select set_config('leasehold.subject', $1, true), \
     set_config('leasehold.member', $2, true), set_config('leasehold.part', $3, true), \
     set_config('leasehold.word', $4, true)";

/// Adds a member to a role.
pub(super) const GRANT_ROLE: &str = "do $do$ begin
  execute format('GRANT %I TO %I', current_setting('leasehold.subject'), current_setting('leasehold.member'));
end $do$";

/// Takes a member out of a role. Since version 16 every grantor's grant stands for itself.
pub(super) const REVOKE_ROLE: &str = "do $do$ declare
  role_name text := current_setting('leasehold.subject');
  member_name text := current_setting('leasehold.member');
  grantor_name text;
begin
  if current_setting('server_version_num')::int < 160000 then
    execute format('REVOKE %I FROM %I', role_name, member_name);
    return;
  end if;
  for grantor_name in select g.rolname::text from pg_auth_members a join pg_roles g on g.oid = a.grantor
      join pg_roles r on r.oid = a.roleid join pg_roles m on m.oid = a.member
     where r.rolname = role_name and m.rolname = member_name loop
    execute format('REVOKE %I FROM %I GRANTED BY %I', role_name, member_name, grantor_name);
  end loop;
end $do$";

/// Takes a member out of a role, where others are members because of them (since version 16): they become members by
/// this log-in first, with the options that they have now. Ends in an error, and so changes nothing, where anybody else
/// would be more or less of a member afterwards.
pub(super) const REVOKE_ROLE_KEEPING_OTHERS: &str = "do $do$ declare
  role_name text := current_setting('leasehold.subject');
  member_name text := current_setting('leasehold.member');
  role_oid oid := (select oid from pg_roles where rolname = role_name);
  member_oid oid := (select oid from pg_roles where rolname = member_name);
  others text := (select string_agg(x::text, ' ' order by x::text) from (
    select member, bool_or(admin_option), bool_or(inherit_option), bool_or(set_option) from pg_auth_members
     where roleid = role_oid and member <> member_oid group by member) x);
  item record;
begin
  for item in select pg_get_userbyid(a.member) as name, bool_or(a.admin_option) as passes_on,
      bool_or(a.inherit_option) as inherits, bool_or(a.set_option) as becomes
      from pg_auth_members a where a.roleid = role_oid and a.member <> member_oid
       and exists (select from pg_auth_members b where b.roleid = role_oid and b.member = a.member and b.grantor = member_oid)
     group by a.member loop
    execute format('GRANT %I TO %I WITH ADMIN %s, INHERIT %s, SET %s', role_name, item.name, item.passes_on::text,
      item.inherits::text, item.becomes::text);
  end loop;
  for item in select pg_get_userbyid(grantor) as name from pg_auth_members
     where roleid = role_oid and member = member_oid loop
    execute format('REVOKE %I FROM %I GRANTED BY %I CASCADE', role_name, member_name, item.name);
  end loop;
  if others is distinct from (select string_agg(x::text, ' ' order by x::text) from (
    select member, bool_or(admin_option), bool_or(inherit_option), bool_or(set_option) from pg_auth_members
     where roleid = role_oid and member <> member_oid group by member) x) then
    raise exception using errcode = '2BP01', message = 'others would not be members afterwards as they are now';
  end if;
end $do$";

/// Gives a privilege. The object's text for the statement is made by the server.
pub(super) const GRANT_PRIVILEGE: &str = concat!(
    "do $do$ declare object record; begin with ",
    objects!("format('%I', a.attname) = current_setting('leasehold.part')"),
    " select o.target, o.part into strict object from objects o
       where o.phrase = current_setting('leasehold.subject')
         and o.part is not distinct from nullif(current_setting('leasehold.part'), '')
         and (o.part is not null or o.class <> 'column');
  execute format('GRANT %s%s ON %s TO %I', current_setting('leasehold.word'),
    case when object.part is null then '' else ' (' || object.part || ')' end, object.target,
    current_setting('leasehold.member'));
end $do$"
);

/// Takes a privilege away, once for every grantor, as that grantor: `REVOKE` reaches only the grants of the role
/// that runs it, and says nothing where others remain.
pub(super) const REVOKE_PRIVILEGE: &str = concat!(
    "do $do$ declare
  item record;
  before text := current_setting('role');
begin for item in with ",
    objects!("format('%I', a.attname) = current_setting('leasehold.part')"),
    " select o.target, o.part, case when x.grantor <> o.owner or not pg_has_role(o.owner, 'USAGE') then g.rolname::text end as become
      from objects o cross join lateral aclexplode(o.acl) x
      join pg_roles g on g.oid = x.grantor join pg_roles m on m.oid = x.grantee
     where o.phrase = current_setting('leasehold.subject')
       and o.part is not distinct from nullif(current_setting('leasehold.part'), '')
       and (o.part is not null or o.class <> 'column')
       and m.rolname = current_setting('leasehold.member')
       and x.privilege_type = current_setting('leasehold.word') and x.grantee <> o.owner
  loop
    if item.become is not null then perform set_config('role', item.become, true); end if;
    execute format('REVOKE %s%s ON %s FROM %I', current_setting('leasehold.word'),
      case when item.part is null then '' else ' (' || item.part || ')' end, item.target,
      current_setting('leasehold.member'));
    perform set_config('role', before, true);
  end loop;
end $do$"
);

/// Takes a privilege away as the owner, where it cannot be done as the grantor or others hold it through this grant:
/// they get it from the owner first, as they have it now, so that nothing cascades to them. Ends in an error, and so
/// changes nothing, where anybody but the member would hold more or less afterwards.
pub(super) const REVOKE_KEEPING_OTHERS: &str = concat!(
    "do $do$ declare
  word text := current_setting('leasehold.word');
  member_name text := current_setting('leasehold.member');
  before_role text := current_setting('role');
  others text := ",
    held_by_others!(),
    ";
  holders jsonb;
  object record;
  item record;
  what text;
begin with ",
    objects!("format('%I', a.attname) = current_setting('leasehold.part')"),
    " select o.target, o.part, o.owner, o.acl, w.rolname::text as owner_name, pg_has_role(o.owner, 'USAGE') as is_owner
    into strict object from objects o join pg_roles w on w.oid = o.owner
   where o.phrase = current_setting('leasehold.subject')
     and o.part is not distinct from nullif(current_setting('leasehold.part'), '')
     and (o.part is not null or o.class <> 'column');
  select coalesce(jsonb_agg(h), '[]') into holders from (
    select case when x.grantee = 0 then 'PUBLIC' else format('%I', pg_get_userbyid(x.grantee)) end as name,
           pg_get_userbyid(x.grantee) = member_name as is_member, bool_or(x.is_grantable) as passes_on
      from aclexplode(object.acl) x where x.privilege_type = word and x.grantee <> object.owner group by x.grantee) h;
  what := word || case when object.part is null then '' else ' (' || object.part || ')' end || ' ON ' || object.target;
  if not object.is_owner then perform set_config('role', object.owner_name, true); end if;
  for item in select * from jsonb_to_recordset(holders) as h(name text, is_member bool, passes_on bool) where not is_member loop
    execute format('GRANT %s TO %s%s', what, item.name, case when item.passes_on then ' WITH GRANT OPTION' else '' end);
  end loop;
  for item in select * from jsonb_to_recordset(holders) as h(name text, passes_on bool) where passes_on loop
    execute format('REVOKE GRANT OPTION FOR %s FROM %s CASCADE', what, item.name);
  end loop;
  for item in select * from jsonb_to_recordset(holders) as h(name text, is_member bool, passes_on bool)
      where passes_on and not is_member loop
    execute format('GRANT %s TO %s WITH GRANT OPTION', what, item.name);
  end loop;
  execute format('REVOKE %s FROM %I', what, member_name);
  perform set_config('role', before_role, true);
  if others is distinct from ",
    held_by_others!(),
    " then
    raise exception using errcode = '2BP01', message = 'others would not hold afterwards what they hold now';
  end if;
end $do$"
);

/// Who holds a privilege through a grant of $1: $2 phrase, $3 part, $4 privilege.
pub(super) const DEPENDANTS: &str = concat!(
    "with ",
    objects!("format('%I', a.attname) = $3"),
    " select case when x.grantee = 0 then 'PUBLIC' else pg_get_userbyid(x.grantee)::text end
      from objects o cross join lateral aclexplode(o.acl) x join pg_roles m on m.oid = x.grantor
     where m.rolname = $1 and o.phrase = $2 and o.part is not distinct from $3::text and x.privilege_type = $4
       and x.grantor <> o.owner order by 1"
);

/// Who is a member of $2 because $1 made them one.
pub(super) const DEPENDENT_MEMBERS: &str = "select pg_get_userbyid(a.member)::text
   from pg_auth_members a join pg_roles r on r.oid = a.roleid join pg_roles g on g.oid = a.grantor
  where g.rolname = $1 and r.rolname = $2 order by 1";

/// Sets or clears a role attribute: the word is one of a list, checked once more here.
pub(super) const ALTER_ATTRIBUTE: &str =
    "do $do$ declare word text := current_setting('leasehold.word'); begin
  if word !~ '^(NO)?(SUPERUSER|BYPASSRLS|CREATEROLE|CREATEDB|REPLICATION)$' then
    raise exception 'no role attribute: %', word;
  end if;
  execute format('ALTER ROLE %I %s', current_setting('leasehold.member'), word);
end $do$";

/// Gives a default privilege on what this log-in will create: subject is the schema as the server writes it, or
/// empty; part is the kind of object in capitals.
pub(super) const GRANT_DEFAULT: &str = "do $do$ declare place text := ''; begin
  if current_setting('leasehold.subject') <> '' then
    select format('IN SCHEMA %I', n.nspname) into strict place from pg_namespace n
     where format('%I', n.nspname) = current_setting('leasehold.subject');
  end if;
  execute format('ALTER DEFAULT PRIVILEGES %s GRANT %s ON %s TO %I', place,
    current_setting('leasehold.word'), current_setting('leasehold.part'), current_setting('leasehold.member'));
end $do$";

/// Takes a default privilege away, for whoever set it up.
pub(super) const REVOKE_DEFAULT: &str = concat!(
    "do $do$ declare item record; begin for item in with ",
    defaults!(),
    " select d.privilege, d.kinds, d.schema, c.rolname::text as creator
      from defaults d join pg_roles c on c.oid = d.creator join pg_roles m on m.oid = d.grantee
     where d.phrase = current_setting('leasehold.subject') and m.rolname = current_setting('leasehold.member')
  loop
    execute format('ALTER DEFAULT PRIVILEGES FOR ROLE %I %s REVOKE %s ON %s FROM %I', item.creator,
      case when item.schema is null then '' else format('IN SCHEMA %I', item.schema) end,
      item.privilege, item.kinds, current_setting('leasehold.member'));
  end loop;
end $do$"
);

/// What this log-in may not do. Columns: server version, who we are, standby, superuser, may create roles, may
/// signal, may see statistics, tables of owners that we are not a member of, and those owners as statements name them.
pub(super) const RIGHTS: &str =
    "select current_setting('server_version'), current_user::text, pg_is_in_recovery(),
   r.rolsuper, r.rolcreaterole, pg_has_role(current_user, 'pg_signal_backend', 'MEMBER'),
   pg_has_role(current_user, 'pg_read_all_stats', 'MEMBER'), t.number, t.owners, t.of_superusers, t.superusers
   from pg_roles r, (select count(*) filter (where not o.rolsuper) as number,
       coalesce(string_agg(distinct c.relowner::regrole::text, ', ') filter (where not o.rolsuper), '') as owners,
       count(*) filter (where o.rolsuper) as of_superusers,
       coalesce(string_agg(distinct c.relowner::regrole::text, ', ') filter (where o.rolsuper), '') as superusers
     from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_roles o on o.oid = c.relowner
     where c.relkind in ('r', 'p', 'v', 'm') and n.nspname not in ('pg_catalog', 'information_schema')
       and n.nspname !~ '^pg_(toast|temp)' and not pg_has_role(current_user, c.relowner, 'MEMBER')) t
   where r.rolname = current_user";

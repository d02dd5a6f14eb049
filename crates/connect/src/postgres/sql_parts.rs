//! The parts of statements that several of them share, as macros, so that every statement stays a constant.
//!
//! `objects!()` is the one place that says which objects have privileges, how they are called in an entitlement's
//! name (`phrase`, and `part` for a column) and in a `GRANT` (`target`). Names are quoted by the server.

/// A common table expression over everything in this database that privileges can be given on.
///
/// System objects come with only those privileges that somebody changed after installation (`pg_init_privs`), and then
/// with what PUBLIC holds there, which may be another path to the same. `initial` is the list that PostgreSQL, or an
/// extension, began with. Of types, those come that somebody made on their own. The argument says which columns, `a` of `pg_attribute`, are wanted: there are many, and few have privileges.
macro_rules! objects {
    ($columns:literal) => {
        concat!(
            "objects as materialized (
  select case when c.relkind = 'S' then 'sequence' else 'table' end as class,
         case when c.relkind = 'S' then 'sequence ' else '' end || format('%I.%I', n.nspname, c.relname) as phrase,
         null::text as part,
         case when c.relkind = 'S' then 'SEQUENCE ' else 'TABLE ' end || format('%I.%I', n.nspname, c.relname) as target,
         n.nspname::text as schema, c.relowner as owner, false as shared,
         n.nspname in ('pg_catalog', 'information_schema') as system,
         case when n.nspname in ('pg_catalog', 'information_schema')
              then (select array_agg(a) from unnest(c.relacl) a
                     where exists (select from unnest(c.relacl) y where not (y = any (coalesce(i.initprivs, '{}'))))
                       and (a::text like '=%' or not (a = any (coalesce(i.initprivs, '{}')))))
              else coalesce(c.relacl, acldefault(case when c.relkind = 'S' then 's' else 'r' end::\"char\", c.relowner))
         end as acl,
         c.oid as object, null::int2 as attribute,
         coalesce(i.initprivs, acldefault(case when c.relkind = 'S' then 's' else 'r' end::\"char\", c.relowner)) as initial
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    left join pg_init_privs i on i.objoid = c.oid and i.classoid = 'pg_class'::regclass and i.objsubid = 0
   where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and n.nspname !~ '^pg_(toast|temp)'
  union all
  select 'column', format('%I.%I', n.nspname, c.relname), format('%I', a.attname),
         'TABLE ' || format('%I.%I', n.nspname, c.relname), n.nspname::text, c.relowner, false,
         n.nspname in ('pg_catalog', 'information_schema'),
         case when n.nspname in ('pg_catalog', 'information_schema')
              then (select array_agg(x) from unnest(a.attacl) x
                     where exists (select from unnest(a.attacl) y where not (y = any (coalesce(i.initprivs, '{}'))))
                       and (x::text like '=%' or not (x = any (coalesce(i.initprivs, '{}')))))
              else a.attacl end,
         c.oid, a.attnum, i.initprivs
    from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
    left join pg_init_privs i on i.objoid = c.oid and i.classoid = 'pg_class'::regclass and i.objsubid = a.attnum
   where a.attnum > 0 and not a.attisdropped and n.nspname !~ '^pg_(toast|temp)' and (",
            $columns,
            ")
  union all
  select 'function', 'function ' || p.oid::regprocedure::text, null, 'ROUTINE ' || p.oid::regprocedure::text,
         n.nspname::text, p.proowner, false, n.nspname in ('pg_catalog', 'information_schema'),
         case when n.nspname in ('pg_catalog', 'information_schema')
              then (select array_agg(a) from unnest(p.proacl) a
                     where exists (select from unnest(p.proacl) y where not (y = any (coalesce(i.initprivs, '{}'))))
                       and (a::text like '=%' or not (a = any (coalesce(i.initprivs, '{}')))))
              else coalesce(p.proacl, acldefault('f', p.proowner)) end,
         p.oid, null, coalesce(i.initprivs, acldefault('f', p.proowner))
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    left join pg_init_privs i on i.objoid = p.oid and i.classoid = 'pg_proc'::regclass and i.objsubid = 0
   where n.nspname !~ '^pg_(toast|temp)'
     and (n.nspname not in ('pg_catalog', 'information_schema') or p.proacl is not null)
  union all
  select 'schema', 'schema ' || format('%I', n.nspname), null, 'SCHEMA ' || format('%I', n.nspname),
         n.nspname::text, n.nspowner, false, n.nspname in ('pg_catalog', 'information_schema'),
         case when n.nspname in ('pg_catalog', 'information_schema')
              then (select array_agg(a) from unnest(n.nspacl) a
                     where exists (select from unnest(n.nspacl) y where not (y = any (coalesce(i.initprivs, '{}'))))
                       and (a::text like '=%' or not (a = any (coalesce(i.initprivs, '{}')))))
              else coalesce(n.nspacl, acldefault('n', n.nspowner)) end,
         n.oid, null, coalesce(i.initprivs, acldefault('n', n.nspowner))
    from pg_namespace n
    left join pg_init_privs i on i.objoid = n.oid and i.classoid = 'pg_namespace'::regclass and i.objsubid = 0
   where n.nspname !~ '^pg_(toast|temp)'
  union all
  select 'database', 'database ' || format('%I', d.datname), null, 'DATABASE ' || format('%I', d.datname),
         null, d.datdba, true, false, coalesce(d.datacl, acldefault('d', d.datdba)), d.oid, null,
         acldefault('d', d.datdba)
    from pg_database d where d.datallowconn and not d.datistemplate
  union all
  select 'tablespace', 'tablespace ' || format('%I', t.spcname), null, 'TABLESPACE ' || format('%I', t.spcname),
         null, t.spcowner, true, true, t.spcacl, t.oid, null, acldefault('t', t.spcowner)
    from pg_tablespace t where t.spcacl is not null
  union all
  select 'type', 'type ' || format('%I.%I', n.nspname, t.typname), null, 'TYPE ' || format('%I.%I', n.nspname, t.typname),
         n.nspname::text, t.typowner, false, true, coalesce(t.typacl, acldefault('T', t.typowner)), t.oid, null,
         coalesce(i.initprivs, acldefault('T', t.typowner))
    from pg_type t join pg_namespace n on n.oid = t.typnamespace
    left join pg_init_privs i on i.objoid = t.oid and i.classoid = 'pg_type'::regclass and i.objsubid = 0
   where n.nspname !~ '^pg_(toast|temp)' and n.nspname not in ('pg_catalog', 'information_schema')
     and (t.typacl is not null or t.typtype in ('e', 'd', 'r')
          or t.typtype = 'c' and exists (select from pg_class k where k.oid = t.typrelid and k.relkind = 'c'))
  union all
  select 'language', 'language ' || format('%I', l.lanname), null, 'LANGUAGE ' || format('%I', l.lanname),
         null, l.lanowner, false, true, coalesce(l.lanacl, acldefault('l', l.lanowner)), l.oid, null,
         coalesce(i.initprivs, acldefault('l', l.lanowner))
    from pg_language l
    left join pg_init_privs i on i.objoid = l.oid and i.classoid = 'pg_language'::regclass and i.objsubid = 0
   where l.lanacl is not null or l.lanispl
  union all
  select 'foreign data wrapper', 'foreign data wrapper ' || format('%I', w.fdwname), null,
         'FOREIGN DATA WRAPPER ' || format('%I', w.fdwname), null, w.fdwowner, false, true, w.fdwacl, w.oid, null,
         acldefault('F', w.fdwowner)
    from pg_foreign_data_wrapper w where w.fdwacl is not null
  union all
  select 'foreign server', 'foreign server ' || format('%I', s.srvname), null,
         'FOREIGN SERVER ' || format('%I', s.srvname), null, s.srvowner, false, true, s.srvacl, s.oid, null,
         acldefault('S', s.srvowner)
    from pg_foreign_server s where s.srvacl is not null
)"
        )
    };
}

/// Default privileges, with their name in an entitlement.
macro_rules! defaults {
    () => {
        "defaults as materialized (
  select x.privilege_type || ' on ' || k.kind
           || case when n.oid is null then '' else ' in schema ' || format('%I', n.nspname) end as phrase,
         x.privilege_type as privilege, upper(k.kind) as kinds, n.nspname::text as schema,
         d.defaclrole as creator, x.grantee as grantee
    from pg_default_acl d
    left join pg_namespace n on n.oid = d.defaclnamespace
    cross join lateral (select case d.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences'
      when 'f' then 'functions' when 'T' then 'types' when 'n' then 'schemas' else 'large objects' end as kind) k
    cross join lateral aclexplode(d.defaclacl) x
   where x.grantee <> d.defaclrole
     and not (x.grantee = 0 and d.defaclobjtype in ('f', 'T') and d.defaclnamespace = 0)
)"
    };
}

/// What everybody but the member and the owner holds on an object and its columns, as one text.
macro_rules! held_by_others {
    () => {
        concat!(
            "(with ",
            objects!("a.attacl is not null"),
            ", held as (
      select o.part, x.grantee, x.privilege_type, bool_or(x.is_grantable) as passes_on
        from objects o cross join lateral aclexplode(o.acl) x
       where o.phrase = current_setting('leasehold.subject') and x.grantee <> o.owner
         and x.grantee <> (select oid from pg_roles where rolname = current_setting('leasehold.member'))
       group by 1, 2, 3)
    select coalesce(string_agg(held::text, ' ' order by held::text), '') from held)"
        )
    };
}

import { expect, test } from '@jest/globals'

type Layout = {
  faultsOf: (sql: string, isUnnamed?: boolean) => string[]
  faultsOfScript: (sql: string) => string[]
  queriesIn: (sql: string) => number[][]
}
// The bootstrap is plain JavaScript, which has no types.
const { faultsOf, faultsOfScript, queriesIn } = (await import(
  new URL('./sql-layout.mjs', import.meta.url).href
)) as Layout

test.each([
  ['three clauses on one line', 'select a from b where c'],
  [
    'four clauses on four lines',
    `select a
     from b
     where c
     order by d`,
  ],
  [
    'short queries within a long one',
    `insert into a (b)
     select b
     from c
     where not exists (select from a where a.b = c.b)
     on conflict (b) do update set b = excluded.b`,
  ],
  [
    'words that look like clauses',
    `select a is distinct from b, extract(epoch from c), 'from where', sum(d) over (order by e) from f where g`,
  ],
])('%s are fine', (_, sql) => {
  expect(faultsOf(sql)).toEqual([])
})

test.each([
  ['four clauses on three lines', 'select a\nfrom b where c\norder by d', 4],
  ['five in brackets', 'delete from a\nwhere b in (select b from a where c order by d limit 1)', 5],
  ['those of an update', 'update a set b = 1 where c returning d', 4],
  ['those of an insert', 'insert into a (b) values (1) on conflict do nothing returning b', 4],
  ['those of a lock', 'select a from b where c for update', 4],
])('%s are too many', (_, sql, count) => {
  expect(faultsOf(sql)).toEqual([`a query of ${count} clauses has several on one line`])
})

test('statements of a function are looked at one by one', () => {
  const body = (insert: string) => `create or replace function f() returns void language plpgsql as $$
    begin
      if true then ${insert} end if;
      update a set b = 1 where c;
    end $$;`
  expect(faultsOfScript(body('delete from a where b;'))).toEqual([])
  expect(faultsOfScript(body('insert into a (b) select b from c where d;'))).toEqual([
    'a query of 4 clauses has several on one line',
  ])
})

test('what is wide has another line', () => {
  expect(faultsOf(`select ${'a'.repeat(126)}`)).toEqual(['a line of 133 characters'])
})

test('what is long has a name', () => {
  const sql = `select ${Array.from({ length: 20 }, (_, n) => `a${n}`).join(',\n')}`
  expect(faultsOf(sql)).toEqual([])
  expect(faultsOf(sql, true)).toEqual(['SQL of 20 lines stands in a call: give it a name'])
})

test('each query has its own clauses', () => {
  expect(queriesIn('with a as (\n  select b\n  from c)\nselect b\nfrom a')).toEqual([
    [0, 3, 4],
    [1, 2],
  ])
})

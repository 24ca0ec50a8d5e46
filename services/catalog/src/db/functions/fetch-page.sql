-- A page of a cursor: at most so many rows, and no more once they have so many bytes.
create or replace function fetch_page(p_cursor text, p_rows integer, p_bytes bigint) returns setof jsonb language plpgsql as $$
declare
  v_cursor refcursor := p_cursor;
  v_row jsonb;
  v_bytes bigint := 0;
begin
  for i in 1..p_rows loop
    fetch next from v_cursor into v_row;
    exit when not found;
    return next v_row;
    v_bytes := v_bytes + pg_column_size(v_row);
    exit when v_bytes >= p_bytes;
  end loop;
end $$;

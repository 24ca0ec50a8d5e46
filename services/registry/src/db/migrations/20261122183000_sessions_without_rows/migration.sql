-- A session has a row only once bytes came. One that was given up leaves a row behind, so that it does not begin anew.
alter table upload_session drop constraint upload_session_state_check;
alter table upload_session add constraint upload_session_state_check check (state in ('open', 'committed', 'dropped'));

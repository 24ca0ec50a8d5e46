-- What came by pull-through could be pulled as its host says, whatever its own row said. Now its own row is what counts, and a change
-- of the host changes it.
update distribution as arrived
set access = host.access, revision = nextval('distribution_revision')
from distribution as host
where arrived.via = host.id and arrived.access <> host.access;

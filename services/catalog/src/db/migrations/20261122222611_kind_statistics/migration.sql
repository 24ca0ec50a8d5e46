-- So that a list of a kind which most manifests have is read in order up to its page, and not as a whole.
create statistics manifest_kind on (facts ->> 'kind') from manifest;

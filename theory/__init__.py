"""What mathematics says: exact counts, floors, bounds and closed forms. Imports no other room of this house."""

DELETE FROM sqlite_sequence WHERE name = 'new_orders';
UPDATE sqlite_sequence SET name = 'new_orders' WHERE name = 'orders';

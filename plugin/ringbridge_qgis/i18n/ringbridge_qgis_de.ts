<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="de">
    <context>
        <name>ringbridge</name>
        <message>
            <source>Looking for environments…</source>
            <translation>Umgebungen werden gesucht …</translation>
        </message>
        <message>
            <source>Environment</source>
            <translation>Umgebung</translation>
        </message>
        <message>
            <source>Kind</source>
            <translation>Art</translation>
        </message>
        <message>
            <source>Python</source>
            <translation>Python</translation>
        </message>
        <message>
            <source>State</source>
            <translation>Zustand</translation>
        </message>
        <message>
            <source>Browse…</source>
            <translation>Durchsuchen …</translation>
        </message>
        <message>
            <source>Show the folder of an environment</source>
            <translation>Den Ordner einer Umgebung zeigen</translation>
        </message>
        <message>
            <source>Look again</source>
            <translation>Neu suchen</translation>
        </message>
        <message>
            <source>Test</source>
            <translation>Testen</translation>
        </message>
        <message>
            <source>Starts a worker in this environment and asks what it has</source>
            <translation>Startet einen Worker in dieser Umgebung und fragt ihn, was dort ist</translation>
        </message>
        <message>
            <source>Use it</source>
            <translation>Verwenden</translation>
        </message>
        <message>
            <source>The folder of a Python environment</source>
            <translation>Der Ordner einer Python-Umgebung</translation>
        </message>
        <message>
            <source>{state}, in use</source>
            <translation>{state}, in Gebrauch</translation>
        </message>
        <message>
            <source>Has {packages}</source>
            <translation>Enthält {packages}</translation>
        </message>
        <message>
            <source>Starting a worker… ({seconds} seconds at most)</source>
            <translation>Ein Worker wird gestartet … (höchstens {seconds} Sekunden)</translation>
        </message>
        <message>
            <source>It works: Python {python}, {numpy}. The worker was ready after {start} s; a call takes {call} µs.</source>
            <translation>Es geht: Python {python}, {numpy}. Der Worker war nach {start} s bereit; ein Aufruf dauert {call} µs.</translation>
        </message>
        <message>
            <source>… more in the log messages, under “ringbridge”</source>
            <translation>… mehr im Protokoll, unter „ringbridge“</translation>
        </message>
        <message>
            <source>It does not work:</source>
            <translation>Es geht nicht:</translation>
        </message>
        <message>
            <source>Add…</source>
            <translation>Hinzufügen …</translation>
        </message>
        <message>
            <source>Remove</source>
            <translation>Entfernen</translation>
        </message>
        <message>
            <source>Copy</source>
            <translation>Kopieren</translation>
        </message>
        <message>
            <source>Algorithms run in a Python environment of their own, apart from QGIS. Make one by running one of these commands in a terminal, then press “Look again”. If you have an environment already, show its folder with “Browse…”.</source>
            <translation>Algorithmen laufen in einer eigenen Python-Umgebung, getrennt von QGIS. Legen Sie eine an, indem Sie einen dieser Befehle in einem Terminal ausführen, und klicken Sie dann auf „Neu suchen“. Wenn Sie schon eine Umgebung haben, zeigen Sie ihren Ordner mit „Durchsuchen …“.</translation>
        </message>
        <message>
            <source>With {tool}:</source>
            <translation>Mit {tool}:</translation>
        </message>
        <message>
            <source>With Python alone:</source>
            <translation>Nur mit Python:</translation>
        </message>
        <message>
            <source>Environment that workers run in</source>
            <translation>Umgebung, in der Worker laufen</translation>
        </message>
        <message>
            <source>A folder with modules of algorithms</source>
            <translation>Ein Ordner mit Modulen von Algorithmen</translation>
        </message>
        <message>
            <source>More folders with modules of algorithms</source>
            <translation>Weitere Ordner mit Modulen von Algorithmen</translation>
        </message>
        <message>
            <source>Help</source>
            <translation>Hilfe</translation>
        </message>
        <message>
            <source>Names of Python modules, with spaces between; tools.* means all modules in tools</source>
            <translation>Namen von Python-Modulen mit Leerzeichen dazwischen; tools.* steht für alle Module in tools</translation>
        </message>
        <message>
            <source>A folder with modules to be served</source>
            <translation>Ein Ordner mit Modulen, die angeboten werden</translation>
        </message>
        <message>
            <source>Modules:</source>
            <translation>Module:</translation>
        </message>
        <message>
            <source>Folders that they are in:</source>
            <translation>Ordner, in denen sie liegen:</translation>
        </message>
        <message>
            <source>What other programs of yours may call, where it is switched on</source>
            <translation>Was Ihre anderen Programme aufrufen dürfen, wenn es eingeschaltet ist</translation>
        </message>
        <message>
            <source>automatic</source>
            <translation>automatisch</translation>
        </message>
        <message>
            <source> min</source>
            <translation> min</translation>
        </message>
        <message>
            <source>Threads of one worker:</source>
            <translation>Threads eines Workers:</translation>
        </message>
        <message>
            <source>Shared memory, each side of a worker:</source>
            <translation>Gemeinsamer Speicher, je Seite eines Workers:</translation>
        </message>
        <message>
            <source>Workers at once:</source>
            <translation>Worker gleichzeitig:</translation>
        </message>
        <message>
            <source>An idle worker ends after:</source>
            <translation>Ein untätiger Worker endet nach:</translation>
        </message>
        <message>
            <source>Limits</source>
            <translation>Grenzen</translation>
        </message>
        <message>
            <source>Workers</source>
            <translation>Worker</translation>
        </message>
        <message>
            <source>ringbridge: workers, and what they do</source>
            <translation>ringbridge: Worker und was sie tun</translation>
        </message>
        <message>
            <source>Serve other programs…</source>
            <translation>Andere Programme bedienen …</translation>
        </message>
        <message>
            <source>Set up…</source>
            <translation>Einrichten …</translation>
        </message>
        <message>
            <source>Settings…</source>
            <translation>Einstellungen …</translation>
        </message>
        <message>
            <source>Reload modules</source>
            <translation>Module neu laden</translation>
        </message>
        <message>
            <source>Algorithms will run in the environment “{name}”.</source>
            <translation>Algorithmen laufen in der Umgebung „{name}“.</translation>
        </message>
        <message>
            <source>Change…</source>
            <translation>Ändern …</translation>
        </message>
        <message>
            <source>Its algorithms need a Python environment to run in.</source>
            <translation>Die Algorithmen brauchen eine Python-Umgebung, in der sie laufen.</translation>
        </message>
        <message>
            <source>Do not ask again</source>
            <translation>Nicht mehr fragen</translation>
        </message>
        <message>
            <source>Modules that cannot be used: {names}</source>
            <translation>Module, die nicht verwendet werden können: {names}</translation>
        </message>
        <message>
            <source>Details</source>
            <translation>Einzelheiten</translation>
        </message>
        <message>
            <source>The environment “{name}” cannot be used: {state}.</source>
            <translation>Die Umgebung „{name}“ ist nicht verwendbar: {state}.</translation>
        </message>
        <message>
            <source>Settings &gt; Options &gt; ringbridge</source>
            <translation>Einstellungen &gt; Optionen &gt; ringbridge</translation>
        </message>
        <message>
            <source>Set up ringbridge</source>
            <translation>ringbridge einrichten</translation>
        </message>
        <message>
            <source>No Python environment was found</source>
            <translation>Es wurde keine Python-Umgebung gefunden</translation>
        </message>
        <message>
            <source>Its algorithms are in the Processing toolbox, under “ringbridge”.</source>
            <translation>Die Algorithmen stehen in der Verarbeitungswerkzeugkiste unter „ringbridge“.</translation>
        </message>
        <message>
            <source>Now name a folder with your modules in Settings &gt; Options &gt; ringbridge.</source>
            <translation>Nennen Sie nun unter Einstellungen &gt; Optionen &gt; ringbridge einen Ordner mit Ihren Modulen.</translation>
        </message>
        <message>
            <source>ringbridge uses “{name}”</source>
            <translation>ringbridge verwendet „{name}“</translation>
        </message>
        <message>
            <source>Choose an environment</source>
            <translation>Wählen Sie eine Umgebung</translation>
        </message>
        <message>
            <source>Algorithms will run in it, apart from QGIS. “Test” starts a worker there; “Use it” takes it.</source>
            <translation>Algorithmen laufen in ihr, getrennt von QGIS. „Testen“ startet dort einen Worker; „Verwenden“ übernimmt sie.</translation>
        </message>
        <message>
            <source>No environment can be used yet</source>
            <translation>Noch ist keine Umgebung verwendbar</translation>
        </message>
        <message>
            <source>Select one in the list to see what is missing.</source>
            <translation>Wählen Sie eine in der Liste aus, um zu sehen, was fehlt.</translation>
        </message>
        <message>
            <source>usable</source>
            <translation>verwendbar</translation>
        </message>
        <message>
            <source>no ringbridge</source>
            <translation>kein ringbridge</translation>
        </message>
        <message>
            <source>ringbridge too old</source>
            <translation>ringbridge zu alt</translation>
        </message>
        <message>
            <source>ringbridge does not fit</source>
            <translation>ringbridge passt nicht</translation>
        </message>
        <message>
            <source>no Python</source>
            <translation>kein Python</translation>
        </message>
        <message>
            <source>Python too old</source>
            <translation>Python zu alt</translation>
        </message>
        <message>
            <source>nothing there</source>
            <translation>nichts da</translation>
        </message>
        <message>
            <source>none of the packages that computations usually need</source>
            <translation>keines der Pakete, die Berechnungen meist brauchen</translation>
        </message>
        <message>
            <source>No ringbridge was found for it. Run this command in a terminal, then press “Look again”:</source>
            <translation>Es wurde kein ringbridge dafür gefunden. Führen Sie diesen Befehl in einem Terminal aus und klicken Sie dann auf „Neu suchen“:</translation>
        </message>
        <message>
            <source>Its ringbridge is older than {minimum}. Run this command in a terminal, then press “Look again”:</source>
            <translation>Das ringbridge darin ist älter als {minimum}. Führen Sie diesen Befehl in einem Terminal aus und klicken Sie dann auf „Neu suchen“:</translation>
        </message>
        <message>
            <source>Its ringbridge was built for other Pythons: it has to fit QGIS's Python {here} and this environment's {there}. Install one that is built for all, then press “Look again”:</source>
            <translation>Das ringbridge darin ist für andere Pythons gebaut: Es muss zu Python {here} von QGIS und zu {there} dieser Umgebung passen. Installieren Sie eines, das für alle gebaut ist, und klicken Sie dann auf „Neu suchen“:</translation>
        </message>
        <message>
            <source>There is an environment, but no Python in it. Install one there (for example with “conda install python”), or choose another environment.</source>
            <translation>Hier ist eine Umgebung, aber ohne Python. Installieren Sie dort eines (zum Beispiel mit „conda install python“) oder wählen Sie eine andere Umgebung.</translation>
        </message>
        <message>
            <source>Its Python {there} is older than {oldest}. Make a new environment, or choose another one.</source>
            <translation>Das Python {there} darin ist älter als {oldest}. Legen Sie eine neue Umgebung an oder wählen Sie eine andere.</translation>
        </message>
        <message>
            <source>There is no Python environment in this folder. Choose the folder that has “bin/python” in it.</source>
            <translation>In diesem Ordner ist keine Python-Umgebung. Wählen Sie den Ordner, in dem „bin/python“ liegt.</translation>
        </message>
        <message>
            <source>Workers can run here, but numpy is missing: algorithms with rasters or layers need it.</source>
            <translation>Hier können Worker laufen, aber numpy fehlt: Algorithmen mit Rastern oder Layern brauchen es.</translation>
        </message>
        <message>
            <source>Workers can run here. “Test” starts one and tells what it says.</source>
            <translation>Hier können Worker laufen. „Testen“ startet einen und zeigt, was er sagt.</translation>
        </message>
        <message>
            <source>No environment is chosen: see {where}.</source>
            <translation>Es ist keine Umgebung gewählt: siehe {where}.</translation>
        </message>
        <message>
            <source>{name}: another plugin's algorithms are called {id}:… already.</source>
            <translation>{name}: Die Algorithmen einer anderen Erweiterung heißen schon {id}:…</translation>
        </message>
        <message>
            <source>{name}: reading modules</source>
            <translation>{name}: Module lesen</translation>
        </message>
        <message>
            <source>reading modules</source>
            <translation>Module lesen</translation>
        </message>
        <message>
            <source>{name}: workers</source>
            <translation>{name}: Worker</translation>
        </message>
        <message>
            <source>No worker is running. One starts with the first algorithm that is run, and ends by itself when it has had nothing to do for a while.</source>
            <translation>Es läuft kein Worker. Einer startet mit dem ersten Algorithmus, der ausgeführt wird, und endet von selbst, wenn er eine Weile nichts zu tun hatte.</translation>
        </message>
        <message>
            <source>Module</source>
            <translation>Modul</translation>
        </message>
        <message>
            <source>Problem</source>
            <translation>Problem</translation>
        </message>
        <message>
            <source>The log of this plugin appears here.</source>
            <translation>Hier erscheint das Protokoll dieser Erweiterung.</translation>
        </message>
        <message>
            <source>Serving</source>
            <translation>Zugriff von außen</translation>
        </message>
        <message>
            <source>Restart</source>
            <translation>Neu starten</translation>
        </message>
        <message>
            <source>Ends what the worker does, and starts it anew</source>
            <translation>Beendet, was der Worker tut, und startet ihn neu</translation>
        </message>
        <message>
            <source>Stop</source>
            <translation>Beenden</translation>
        </message>
        <message>
            <source>Ends the worker; the next run starts another one</source>
            <translation>Beendet den Worker; der nächste Lauf startet einen anderen</translation>
        </message>
        <message>
            <source>Copy command</source>
            <translation>Befehl kopieren</translation>
        </message>
        <message>
            <source>PID</source>
            <translation>PID</translation>
        </message>
        <message>
            <source>Memory</source>
            <translation>Speicher</translation>
        </message>
        <message>
            <source>Task</source>
            <translation>Aufgabe</translation>
        </message>
        <message>
            <source>Since</source>
            <translation>Seit</translation>
        </message>
        <message>
            <source>Plugins</source>
            <translation>Erweiterungen</translation>
        </message>
        <message>
            <source>Restarts</source>
            <translation>Neustarts</translation>
        </message>
        <message>
            <source>starting</source>
            <translation>startet</translation>
        </message>
        <message>
            <source>idle</source>
            <translation>untätig</translation>
        </message>
        <message>
            <source>busy</source>
            <translation>beschäftigt</translation>
        </message>
        <message>
            <source>dead</source>
            <translation>tot</translation>
        </message>
        <message>
            <source>Cancelled.</source>
            <translation>Abgebrochen.</translation>
        </message>
        <message>
            <source>{label}: the worker was stopped.</source>
            <translation>{label}: Der Worker wurde angehalten.</translation>
        </message>
        <message>
            <source>{label}: the worker has crashed ({reason}). The next run starts another one.</source>
            <translation>{label}: Der Worker ist abgestürzt ({reason}). Der nächste Lauf startet einen anderen.</translation>
        </message>
        <message>
            <source>It needs its layers whole: clip them, or raise the memory limit.</source>
            <translation>Er braucht seine Layer als Ganzes: Schneiden Sie sie zu oder erhöhen Sie die Speichergrenze.</translation>
        </message>
        <message>
            <source>Install it in the environment.</source>
            <translation>Installieren Sie es in der Umgebung.</translation>
        </message>
        <message>
            <source>it was killed; perhaps the memory ran out</source>
            <translation>er wurde abgebrochen; vielleicht war der Arbeitsspeicher zu Ende</translation>
        </message>
        <message>
            <source>exit code {code}</source>
            <translation>Exit-Code {code}</translation>
        </message>
        <message>
            <source>{module}: {name} is left out, since {other} has one of this name.</source>
            <translation>{module}: {name} wird ausgelassen, weil {other} schon einen Algorithmus dieses Namens hat.</translation>
        </message>
        <message>
            <source>Let other programs of mine call into this QGIS</source>
            <translation>Meine anderen Programme dürfen dieses QGIS aufrufen</translation>
        </message>
        <message>
            <source>Served function</source>
            <translation>Angebotene Funktion</translation>
        </message>
        <message>
            <source>Runs on</source>
            <translation>Läuft auf</translation>
        </message>
        <message>
            <source>Client</source>
            <translation>Programm</translation>
        </message>
        <message>
            <source>Connected</source>
            <translation>Verbunden</translation>
        </message>
        <message>
            <source>Calls</source>
            <translation>Aufrufe</translation>
        </message>
        <message>
            <source>Threads</source>
            <translation>Threads</translation>
        </message>
        <message>
            <source>Off: nobody can call.</source>
            <translation>Aus: Niemand kann etwas aufrufen.</translation>
        </message>
        <message>
            <source>On: {code}   process {pid}, clients: {clients}, calls: {calls}</source>
            <translation>An: {code}   Prozess {pid}, Programme: {clients}, Aufrufe: {calls}</translation>
        </message>
        <message>
            <source>the main thread</source>
            <translation>dem Hauptthread</translation>
        </message>
        <message>
            <source>a thread</source>
            <translation>einem Thread</translation>
        </message>
        <message>
            <source>not loaded</source>
            <translation>nicht geladen</translation>
        </message>
        <message>
            <source>main</source>
            <translation>Hauptthread</translation>
        </message>
        <message>
            <source>its own</source>
            <translation>eigener</translation>
        </message>
    </context>
</TS>
